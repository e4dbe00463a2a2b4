"""Which random number belongs to which cell, and the array libraries that compute with them."""
