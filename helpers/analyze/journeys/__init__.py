"""How customers go their way: visits, funnels, carts left, repeat orders, and how long they stay."""
