"""Reports for the state, as their plan asks for them and reads them."""
