"""What every part and page begins with: addresses, words of codes, times, marks, blocks, choices."""
