"""What comes next: who buys, what each product line sells, what moves sales."""
