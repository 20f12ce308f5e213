"""What tests of the services need beside them: partners that behave well or badly."""
