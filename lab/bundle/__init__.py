"""One file with what a maintainer would ask for, without what nobody may see."""
