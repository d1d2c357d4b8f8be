-- Marks a proof of work as spent.
--
-- KEYS  1 the proof
-- ARGV  1 for how long it is remembered (ms)
-- Reply {"spent"}: nobody had spent it | {"again"}: somebody had
-- Twice: the second answers "again", and the mark ends when it would have.

if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return {'spent'} end
return {'again'}
