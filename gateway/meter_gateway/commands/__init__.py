"""The commands of `carbonmeter`, one file for each noun. They read, ask and print, and decide nothing."""
