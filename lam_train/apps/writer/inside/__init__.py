"""What runs inside LibreOffice's own process, under its Python: copied into the profile of each instance."""
