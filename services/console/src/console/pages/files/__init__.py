"""Files: send a spreadsheet, see what became of each row, fetch it back; a plan's member files."""
