"""How good depth is: metrics by the protocol that the field reports."""
