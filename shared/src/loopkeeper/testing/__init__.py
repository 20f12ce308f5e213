"""What tests of the services need: partners that behave well or badly."""
