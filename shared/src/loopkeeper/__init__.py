"""The chassis: mechanism only; it knows no service."""
