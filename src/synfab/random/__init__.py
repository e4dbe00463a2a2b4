"""Random streams per cell, and the array libraries that compute with them."""
