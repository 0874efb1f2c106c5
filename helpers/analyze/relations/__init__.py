"""What hangs together: measures of customers, goods in a basket, answers, choices."""
