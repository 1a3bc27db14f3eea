
set edit:completion:arg-completer[dkb] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) _DKB_COMPLETE="elvish" dkb -- $@words) | to-lines
}

