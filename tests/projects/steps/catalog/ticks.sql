-- Read by no model: commits by the hundred are cheap here.
CREATE SOURCE bronze.ticks (tick BIGINT)
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;
