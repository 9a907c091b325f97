-- It allowed one running batch of singles, whether it gathers or not. An older version does as well with the index of
-- 0005, which knows its batches as gathering.

drop index batches_gathering;
