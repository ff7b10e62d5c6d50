-- The index behind the search is there from the beginning (0001); MySQL and MariaDB have theirs from here on.
SELECT 1;
