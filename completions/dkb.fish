# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_dkb_global_optspecs
    string join \n c/context= H/host= project= settings= format= color= json q/quiet v/verbose config= D/debug= l/log-level= tls= tlscacert= tlscert= tlskey= tlsverify= session= h/help V/version
end

function __fish_dkb_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_dkb_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_dkb_using_subcommand
    set -l cmd (__fish_dkb_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c dkb -n "__fish_dkb_needs_command" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_needs_command" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_needs_command" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_needs_command" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_needs_command" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_needs_command" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_needs_command" -l config -d 'Take docker\'s settings from this folder' -r -F
complete -c dkb -n "__fish_dkb_needs_command" -s D -l debug -d 'Let docker say what it does' -r
complete -c dkb -n "__fish_dkb_needs_command" -s l -l log-level -d 'Let docker log from this level on' -r
complete -c dkb -n "__fish_dkb_needs_command" -l tls -d 'Use TLS' -r
complete -c dkb -n "__fish_dkb_needs_command" -l tlscacert -d 'Trust certificates signed by this authority only' -r -F
complete -c dkb -n "__fish_dkb_needs_command" -l tlscert -d 'Use this certificate' -r -F
complete -c dkb -n "__fish_dkb_needs_command" -l tlskey -d 'Use this key' -r -F
complete -c dkb -n "__fish_dkb_needs_command" -l tlsverify -d 'Use TLS and check the engine\'s certificate' -r
complete -c dkb -n "__fish_dkb_needs_command" -l session -d 'Name the session that this run belongs to; before the verb' -r
complete -c dkb -n "__fish_dkb_needs_command" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_needs_command" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_needs_command" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_needs_command" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_needs_command" -s V -l version -d 'Print version'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "build" -d 'Build as docker build does, and take away what it leaves behind'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "bake" -d 'Build many targets as docker buildx bake does, and tidy up after each'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "compose" -d 'Run docker compose, and tidy up after what it builds'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "clean" -d 'Remove what dkb\'s builds made here, and nothing else'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "status" -d 'Show what is ours, and what clean would free'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "log" -d 'Show what dkb took away: what, when, why, and in whose name'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "guard" -d 'Run a command in a session of its own, and clean up after it however it ends'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "sweep" -d 'Clean the whole host: containers, images, volumes, networks, build cache'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "session" -d 'Open and end sessions by hand, for test harnesses that can\'t be wrapped'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "config" -d 'Show every setting that is in effect and where it comes from'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "doctor" -d 'Show which engine, docker and ledger are used here and why, and what is amiss'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "plugin" -d 'Make dkb a plugin of docker and of cargo, or part of every build'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "completions" -d 'Print a shell\'s completions'
complete -c dkb -n "__fish_dkb_needs_command" -f -a "man" -d 'Print a manual page'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l add-host -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l allow -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l annotation -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l attest -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l build-arg -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l build-context -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l builder -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cache-from -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cache-to -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l call -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cgroup-parent -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cpu-period -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cpu-quota -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -s c -l cpu-shares -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cpuset-cpus -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l cpuset-mems -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -s f -l file -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l iidfile -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l isolation -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l label -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -s m -l memory -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l memory-swap -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l metadata-file -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l network -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l no-cache-filter -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -s o -l output -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l platform -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l policy -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l print -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l progress -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l provenance -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l resource -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l sbom -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l secret -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l security-opt -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l shm-size -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l ssh -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -s t -l tag -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l target -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l ulimit -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand build" -l check -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l compress -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -s D -l debug -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l disable-content-trust -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l force-rm -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l load -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l no-cache -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l pull -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l push -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -s q -l quiet -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l rm -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l squash -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -l stream -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand build" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l allow -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l builder -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l call -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -s f -l file -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l metadata-file -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l progress -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l provenance -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l sbom -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l set -d 'docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l check -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -s D -l debug -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l list-targets -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l list-variables -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l load -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l no-cache -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l print -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l pull -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l push -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -l list -d 'docker\'s'
complete -c dkb -n "__fish_dkb_using_subcommand bake" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand compose" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l session -d 'Clean this session of the project, with its tags and what bears its run label: stopped containers, networks, volumes and their data' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l compose -d 'Of that only what docker compose built for this project of its own, whose name is compose\'s -p' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l cache-keep -d 'Keep this much build cache' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l stale-after -d 'Let a CI session that nobody keeps open be over this long after its last build, 10 minutes at the least' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l keep -d 'Keep what matches; may be repeated' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l keep-last -d 'Keep the newest N of every repository' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l older-than -l until -d 'Keep what is younger' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l plan -d 'Write the plan to a file or a pipe, and do nothing' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l apply -d 'Do those steps of a plan that would be done today too, and never more' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l stale -d 'Clean sessions that are over and were never cleaned, and their tags with them'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l all -d 'Clean every project'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l tagged -d 'Take away tags too, those that dkb\'s builds gave'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l keep-tagged -d 'Leave tagged images where --session and --stale would take them, but not what bears the run label'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l keep-containers -d 'Leave created and exited containers, and so the images they use, and networks and volumes'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l volumes -d 'Take the anonymous volumes of the containers that go too, and those with the run label of a working copy\'s own session, and the data in them'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l cache -d 'Take the build cache of these builds, and nothing else'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l cache-mounts -d 'Take the cache mounts that only this working copy\'s builds have: those under the setting `own_cache_mounts`'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l keep-cache -d 'Leave the build cache'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l trust-stamp -d 'Take the stamp for a proof where the ledger knows nothing of an image'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s n -l dry-run -d 'Show what would be done, exactly, and do nothing'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s y -l yes -d 'Do not ask. A terminal asks before what has a name goes, and before a sweep; a script needs this for a sweep, and for names of other projects'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand clean" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand status" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand status" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand status" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand status" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand status" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand status" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand status" -l all -d 'Show every project'
complete -c dkb -n "__fish_dkb_using_subcommand status" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand status" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand status" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand status" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand log" -l since -d 'Show what went since then' -r
complete -c dkb -n "__fish_dkb_using_subcommand log" -l last -d 'Show the last of it, so many things' -r
complete -c dkb -n "__fish_dkb_using_subcommand log" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand log" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand log" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand log" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand log" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand log" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand log" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand log" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand log" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand log" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l session -d 'Use this session; otherwise a fresh one' -r
complete -c dkb -n "__fish_dkb_using_subcommand guard" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand guard" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l keep-tagged -d 'Leave tagged images'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l keep-on-failure -d 'Leave everything for a look when the command failed, or the guard was killed'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l no-clean -d 'Name the session, and leave everything'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand guard" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l only -d 'Sweep these kinds and no other: containers, images, volumes, builder-state, networks, cache' -r -f -a "containers\t''
images\t''
volumes\t''
builder-state\t''
networks\t''
cache\t''"
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l skip -d 'Leave these kinds out' -r -f -a "containers\t''
images\t''
volumes\t''
builder-state\t''
networks\t''
cache\t''"
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l filter -d 'Sweep only what this lets through: label=K, label=K=V, label!=K, label!=K=V; may be repeated [default: label!=keep=true]' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l keep -d 'Keep what matches; may be repeated' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l keep-last -d 'Keep the newest N of every repository' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l older-than -l until -d 'Keep what is younger [default: 24h]' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l cache-keep -d 'Keep this much build cache' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l cache-until -d 'Keep build cache that was used since [default: as --older-than]' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l when-disk-above -d 'Do nothing unless the engine\'s disk is fuller: 85%, 200GB' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l down-to -d 'Then sweep the least valuable first, down to here and no further' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l log -d 'Print lines for a log, as docker-cleaner does: text or json' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l wait -d 'Wait so long for an engine that is not there yet' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l plan -d 'Write the plan to a file or a pipe, and do nothing' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l apply -d 'Do those steps of a plan that would be done today too, and never more' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l all-images -d 'Sweep all unused images, not only untagged ones'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l volumes -d 'Sweep unused volumes, named ones too'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l all-contexts -d 'Sweep every docker context'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s n -l dry-run -d 'Show what would be done, exactly, and do nothing'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s y -l yes -d 'Do not ask. A terminal asks before what has a name goes, and before a sweep; a script needs this for a sweep, and for names of other projects'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand sweep" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -f -a "list" -d 'Show the sessions of this project, the newest first, and who is at work in them'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -f -a "ls" -d 'Show the sessions of this project, the newest first, and who is at work in them'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -f -a "start" -d 'Open a session and print its ID'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -f -a "label" -d 'Print the run label of a session, for containers, volumes and networks'
complete -c dkb -n "__fish_dkb_using_subcommand session; and not __fish_seen_subcommand_from list ls start label end" -f -a "end" -d 'End a session and clean what it left'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l all -d 'Show those of every project'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l all -d 'Show those of every project'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l watch-pid -d 'End the session when this process ends' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l ttl -d 'End it after this long' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from label" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l keep-tagged -d 'Leave tagged images'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand session; and __fish_seen_subcommand_from end" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand config; and not __fish_seen_subcommand_from get" -f -a "get" -d 'Print what one setting is, a value a line'
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -f -a "install" -d 'Link dkb into docker\'s plugin folder and cargo\'s bin, or put it where it is told'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -f -a "uninstall" -d 'Take all of that away again, or only what is told'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and not __fish_seen_subcommand_from install uninstall status" -f -a "status" -d 'Say what there is of it'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l as-docker -d 'By the name docker in this folder, for tools that are told which docker to use: builds are dkb\'s, all else docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l every-build -d 'Before docker\'s buildx: every build with BuildKit is seen, compose\'s and other tools\' too, as if by dkb build'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l as-docker -d 'By the name docker in this folder, for tools that are told which docker to use: builds are dkb\'s, all else docker\'s' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l every-build -d 'Before docker\'s buildx: every build with BuildKit is seen, compose\'s and other tools\' too, as if by dkb build'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand plugin; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand completions" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand completions" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand completions" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand completions" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand completions" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand completions" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand completions" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand completions" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand completions" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand completions" -s h -l help -d 'Print help'
complete -c dkb -n "__fish_dkb_using_subcommand man" -s c -l context -d 'Use this docker context; sweep takes several' -r
complete -c dkb -n "__fish_dkb_using_subcommand man" -s H -l host -d 'Use the engine at this address' -r
complete -c dkb -n "__fish_dkb_using_subcommand man" -l project -d 'Name the project; otherwise the repository\'s name' -r
complete -c dkb -n "__fish_dkb_using_subcommand man" -l settings -d 'Read this file in place of ~/.config/dkb/config.toml' -r -F
complete -c dkb -n "__fish_dkb_using_subcommand man" -l format -d 'Print results for people or for programs' -r -f -a "human\t''
json\t''"
complete -c dkb -n "__fish_dkb_using_subcommand man" -l color -d 'Use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c dkb -n "__fish_dkb_using_subcommand man" -l json -d 'The same as --format json'
complete -c dkb -n "__fish_dkb_using_subcommand man" -s q -l quiet -d 'Say less'
complete -c dkb -n "__fish_dkb_using_subcommand man" -s v -l verbose -d 'Say more: each image and its reason'
complete -c dkb -n "__fish_dkb_using_subcommand man" -s h -l help -d 'Print help'
