"""What alignment gives on parts that lie turned and shifted, what it costs, and how well it finds them."""
