//! Changing what is for sale.
