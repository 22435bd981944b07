"""What the board's services share: mechanisms, no business words."""
