"""Operations' pages: ids, states, times and errors; never identity."""
