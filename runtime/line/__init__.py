"""The line controller's side: one handshake, one register map, and the protocols that are bound to them."""
