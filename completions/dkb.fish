complete --keep-order --exclusive --command dkb --arguments "(_DKB_COMPLETE=fish dkb -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
