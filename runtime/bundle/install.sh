#!/bin/sh
# Installs this release of Proctor beside those that are there, without a network, and puts it in force when its own
# check says yes. What runs until then is not touched, whatever happens.
#
#   sh install.sh              install, check, put in force
#   sh install.sh --rollback   put back the release that was in force before
#   sh install.sh --list       the releases that are there
#   sh install.sh --prune      remove those that are neither in force nor were in force before
#
#   --prefix DIR               where (default: as bundled)
#   --python PROGRAM           the Python to install for (default: the version that the bundle is for)
#
#   DIR/runtimes/HASH          a virtual environment with the wheels; releases with the same wheels share it
#   DIR/releases/NAME          detector, unit, lists of licences and parts; `complete` is written last
#   DIR/current, DIR/previous  links to releases; a switch is one rename, and meanwhile DIR/pending leads back
#   DIR/station                the line's working folder: recipes, records; no release touches it
# shellcheck disable=SC2154  # what bundle.env sets: version, bundled_prefix, unit, user, python_needed, python_command
set -eu
umask 022
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP

die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
action=install prefix='' python=''
while [ $# -gt 0 ]; do
    case $1 in
    --rollback | --list | --prune) action=${1#--} ;;
    --prefix | --python)
        [ $# -gt 1 ] || die "$1 needs a value"
        if [ "$1" = --prefix ]; then prefix=$2; else python=$2; fi
        shift
        ;;
    -h | --help)
        sed -n '/^# shellcheck/d; 2,/^set /s/^# \{0,1\}//p' "$here/install.sh"
        exit 0
        ;;
    *) die "$1 is no option; expected --rollback, --list, --prune, --prefix DIR or --python PROGRAM" ;;
    esac
    shift
done
for tool in flock mv readlink setpriv sha256sum; do
    command -v "$tool" >/dev/null || die "$tool is missing; install coreutils and util-linux"
done

check_sums() {
    [ -f "$here/SHA256SUMS" ] || die "$here is no bundle: SHA256SUMS is missing; copy the bundle again"
    if ! found=$(cd "$here" && LC_ALL=C sha256sum --strict -c SHA256SUMS 2>&1); then
        printf '%s\n' "$found" | grep -v ': OK$' >&2 || :
        die "the bundle is damaged; copy it again"
    fi
    listed=$(wc -l <"$here/SHA256SUMS")
    present=$(cd "$here" && find . -type f ! -path ./SHA256SUMS | wc -l)
    [ "$listed" -eq "$present" ] || die "the bundle has $present files, and its list $listed; copy it again"
}

kind_of() {
    "$1" -c 'import platform as p; v = p.python_version_tuple()
print(p.python_implementation(), v[0] + "." + v[1], p.system(), p.machine())'
}

check_python() {
    if [ -z "$python" ]; then
        python=$(command -v "$python_command" || command -v python3) || die "there is no Python; install $python_command"
    fi
    is=$(kind_of "$python") || die "$python does not run"
    [ "$is" = "$python_needed" ] || die "$python is $is, and this bundle is for $python_needed; give --python PROGRAM," \
        "or make a bundle on a machine like this one"
}

# only root can run anything as the unit's user, and give that user a folder
has_user() {
    [ -n "$user" ] && [ "$(id -u)" = 0 ]
}

check_user() {
    ! has_user || id -u "$user" >/dev/null 2>&1 || die "there is no user $user; useradd --system $user"
}

# run a command as the unit will
as_user() {
    if has_user; then
        setpriv --reuid "$(id -u "$user")" --regid "$(id -g "$user")" --init-groups "$@"
    else
        "$@"
    fi
}

lock() {
    mkdir -p "$prefix" || die "$prefix cannot be made; run as root, or choose another place by --prefix"
    # tried first: a shell ends at once, with its own words, where exec cannot open a file
    (: >>"$prefix/.lock") 2>/dev/null || die "$prefix cannot be written; run as root"
    exec 9>>"$prefix/.lock"
    flock -n 9 || die "another install is at work in $prefix; wait for its end"
    settle
}

# a link is made aside and renamed over the one that is there: at each moment it leads to a whole release
point() {
    rm -f "$prefix/.$1.new"
    ln -s "$2" "$prefix/.$1.new"
    mv -fT "$prefix/.$1.new" "$prefix/$1"
}

in_force() {
    readlink "$prefix/$1" 2>/dev/null || :
}

# put the release $1 in force; the way back is there at each moment, as `pending` or as `previous`
switch() {
    now=$(in_force current)
    [ -z "$now" ] || point pending "$now"
    point current "$1"
    [ -z "$now" ] || mv -fT "$prefix/pending" "$prefix/previous"
    sync
}

# finish a switch that was killed behind its rename, and drop one that was killed before
settle() {
    [ -L "$prefix/pending" ] || return 0
    if [ "$(in_force pending)" = "$(in_force current)" ]; then
        rm -f "$prefix/pending"
    else
        mv -fT "$prefix/pending" "$prefix/previous"
    fi
}

# the line's working folder has its owner before it has its name: an install that ends in between makes it again
make_station() {
    if [ ! -e "$prefix/station" ] && [ ! -L "$prefix/station" ]; then
        rm -rf "$prefix/.station.new"
        mkdir "$prefix/.station.new"
        ! has_user || chown "$user" "$prefix/.station.new"
        mv -T "$prefix/.station.new" "$prefix/station"
    elif ! as_user test -w "$prefix/station"; then
        echo "warning: ${user:-$(id -un)} cannot write in $prefix/station, where recipes and records belong;" \
            "chown -R ${user:-$(id -un)}: $prefix/station" >&2
    fi
}

make_runtime() {
    "$python" -m venv --without-pip "$runtime" || {
        echo "error: $python makes no virtual environment; install its module venv" >&2
        return 1
    }
    set -- "$here"/pip/pip-*.whl
    # of a file of the machine's own settings, which may name other indexes and versions, nothing is read
    PIP_CONFIG_FILE=/dev/null "$runtime/bin/python" "$1/pip" --isolated --disable-pip-version-check --no-input install --quiet --no-index \
        --no-cache-dir --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.txt" || {
        echo "error: the wheels cannot be installed here; see above" >&2
        return 1
    }
}

# one whose Python was removed or replaced by the system is made again; the old one is moved aside, and put back where
# that fails
install_runtime() {
    if [ -e "$runtime/complete" ]; then
        if [ "$(kind_of "$runtime/bin/python" 2>/dev/null)" = "$python_needed" ]; then return; fi
        echo "the Python of $runtime does not run any more; making it again for $python"
        rm -rf "$runtime.dead"
        mv -T "$runtime" "$runtime.dead"
    fi
    rm -rf "$runtime"
    make_runtime || {
        rm -rf "$runtime"
        [ ! -e "$runtime.dead" ] || mv -T "$runtime.dead" "$runtime"
        exit 2
    }
    sync
    : >"$runtime/complete"
    rm -rf "$runtime.dead"
}

install_release() {
    if [ ! -e "$release/complete" ]; then
        rm -rf "$release"
        mkdir -p "$release"
        for file in detector.onnx detector.parity.npz install.sh bundle.env line.txt SHA256SUMS sbom.cdx.json \
            LICENCES.md licences "$unit"; do
            if [ -n "$file" ] && [ -e "$here/$file" ]; then cp -R "$here/$file" "$release/"; fi
        done
        ln -s "../../runtimes/${runtime##*/}" "$release/venv"
    fi
    chmod -R a+rX "$release" # a copied file has the permissions that it had: the unit's user may be another one
}

# as the line would start, as its user, but for its camera and its controller, which the line that runs may have in use
check_release() {
    echo "checking $name"
    ( cd "$release" && as_user venv/bin/proctor doctor ) >"$release/doctor.txt" 2>&1 || {
        cat "$release/doctor.txt" >&2
        return 1
    }
    set --
    while IFS= read -r word; do set -- "$@" "$word"; done <"$here/line.txt"
    ( cd "$prefix/station" && as_user "$release/venv/bin/proctor" line "$release/detector.onnx" "$@" --check )
}

# whether the unit is for this place, under whatever name
is_here() {
    [ "$(readlink -m "$prefix")" = "$(readlink -m "$bundled_prefix")" ]
}

say_unit() {
    [ -n "$unit" ] || return 0
    there=/etc/systemd/system/$unit
    if [ ! -e "$there" ]; then
        echo "to run it at boot: cp $prefix/current/$unit $there; systemctl daemon-reload; systemctl enable --now $unit"
    elif cmp -s "$prefix/current/$unit" "$there"; then
        echo "the line runs what it ran until: systemctl restart $unit"
    else
        echo "the unit differs from $there: cp $prefix/current/$unit $there; systemctl daemon-reload;" \
            "systemctl restart $unit"
    fi
}

install() {
    check_python
    check_user
    lock
    name=$version-$(sha256sum <"$here/SHA256SUMS" | cut -c 1-12)
    release=$prefix/releases/$name
    runtime=$prefix/runtimes/$(sha256sum <"$here/requirements.txt" | cut -c 1-12)
    mkdir -p "$prefix/releases" "$prefix/runtimes"
    echo "installing $name in $prefix"
    make_station
    install_runtime
    install_release
    check_release || die "$name does not run here, see above; what was in force stays in force"
    : >"$release/complete"
    sync
    [ "$(in_force current)" = "releases/$name" ] || switch "releases/$name"
    echo "$name is in force"
    say_unit
}

rollback() {
    lock
    left=$(in_force current)
    before=$(in_force previous)
    [ "${before:-$left}" != "$left" ] || die "no other release was in force in $prefix"
    [ -e "$prefix/$before/complete" ] || die "$prefix/$before is gone; install it again from its bundle"
    switch "$before"
    echo "${before#releases/} is in force again, in place of ${left#releases/}"
    # shellcheck disable=SC1091  # the unit is that of the release in force, not of the one that this file is of
    . "$prefix/current/bundle.env"
    is_here || unit=
    say_unit
}

list() {
    for place in "$prefix"/releases/*/; do
        [ -d "$place" ] || die "there are no releases in $prefix"
        place=${place%/}
        mark=
        [ "$(in_force current)" != "releases/${place##*/}" ] || mark=' in force'
        [ "$(in_force previous)" != "releases/${place##*/}" ] || mark="$mark before"
        [ -e "$place/complete" ] || mark="$mark not complete"
        echo "${place##*/}$mark"
    done
}

prune() {
    lock
    for place in "$prefix"/releases/*; do
        case releases/${place##*/} in
        "$(in_force current)" | "$(in_force previous)" | 'releases/*') ;;
        *)
            rm -rf "$place"
            echo "${place##*/} removed"
            ;;
        esac
    done
    for place in "$prefix"/runtimes/*; do
        used=
        for release in "$prefix"/releases/*; do
            [ "$(readlink "$release/venv" 2>/dev/null)" != "../../runtimes/${place##*/}" ] || used=yes
        done
        [ -n "$used" ] || rm -rf "$place"
    done
}

[ -f "$here/bundle.env" ] || die "$here is no bundle: bundle.env is missing; copy the bundle again"
[ "$action" != install ] || [ -d "$here/wheels" ] || die "$here is installed; to install another release, run the" \
    "install.sh of its bundle"
[ "$action" != install ] || check_sums # before anything of it is read
# shellcheck disable=SC1091  # written by proctor bundle
. "$here/bundle.env"
if [ -z "$prefix" ]; then
    prefix=$bundled_prefix
    [ -d "$here/wheels" ] || prefix=${here%/releases/*} # an installed release is of the place that it lies in
fi
case $prefix in
/*) ;;
*) die "the prefix is $prefix; expected a path that begins with /" ;;
esac
if is_here; then
    prefix=$bundled_prefix # by the name that the unit has for it
elif [ -n "$unit" ]; then
    echo "note: the unit $unit is for $bundled_prefix, not for $prefix; for one, bundle with --prefix $prefix" >&2
    unit='' user=''
fi
"$action"
