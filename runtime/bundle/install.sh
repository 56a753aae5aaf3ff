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
#   DIR/current, DIR/previous  links to releases; a switch is one rename
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
for tool in flock mv readlink sha256sum; do
    command -v "$tool" >/dev/null || die "$tool is missing; install coreutils and util-linux"
done

check_sums() {
    [ -f "$here/SHA256SUMS" ] || die "$here is no bundle: SHA256SUMS is missing; copy the bundle again"
    if ! found=$(cd "$here" && LC_ALL=C sha256sum -c SHA256SUMS 2>&1); then
        printf '%s\n' "$found" | grep -v ': OK$' >&2 || :
        die "the bundle is damaged; copy it again"
    fi
    listed=$(wc -l <"$here/SHA256SUMS")
    present=$(find "$here" -type f ! -path "$here/SHA256SUMS" | wc -l)
    [ "$listed" -eq "$present" ] || die "the bundle has $present files, and its list $listed; copy it again"
}

check_python() {
    if [ -z "$python" ]; then
        python=$(command -v "$python_command" || command -v python3) || die "there is no Python; install $python_command"
    fi
    is=$("$python" -c 'import platform as p; v = p.python_version_tuple()
print(p.python_implementation(), v[0] + "." + v[1], p.system(), p.machine())') || die "$python does not run"
    [ "$is" = "$python_needed" ] || die "$python is $is, and this bundle is for $python_needed; give --python PROGRAM," \
        "or make a bundle on a machine like this one"
}

lock() {
    mkdir -p "$prefix" || die "$prefix cannot be made; run as root, or choose another place by --prefix"
    exec 9>"$prefix/.lock" || die "$prefix cannot be written; run as root"
    flock -n 9 || die "another install is at work in $prefix; wait for its end"
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

install_runtime() {
    [ -e "$runtime/complete" ] && return
    rm -rf "$runtime"
    "$python" -m venv --without-pip "$runtime" || die "$python makes no virtual environment; install its module venv"
    set -- "$here"/pip/pip-*.whl
    # of a file of the machine's own settings, which may name other indexes and versions, nothing is read
    PIP_CONFIG_FILE=/dev/null "$runtime/bin/python" "$1/pip" --isolated --disable-pip-version-check --no-input install --quiet --no-index \
        --no-cache-dir --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.txt" ||
        die "the wheels cannot be installed here; see above"
    sync
    : >"$runtime/complete"
}

install_release() {
    [ -e "$release/complete" ] && return
    rm -rf "$release"
    mkdir -p "$release"
    for file in detector.onnx detector.parity.npz install.sh bundle.env line.txt SHA256SUMS sbom.cdx.json LICENCES.md \
        licences "$unit"; do
        if [ -n "$file" ] && [ -e "$here/$file" ]; then cp -R "$here/$file" "$release/"; fi
    done
    ln -s "../../runtimes/${runtime##*/}" "$release/venv"
}

# as the line would start, but for its camera and its controller, which the line that runs may have in use
check_release() {
    echo "checking $name"
    ( cd "$release" && venv/bin/proctor doctor ) >"$release/doctor.txt" 2>&1 || {
        cat "$release/doctor.txt" >&2
        return 1
    }
    set --
    while IFS= read -r word; do set -- "$@" "$word"; done <"$here/line.txt"
    ( cd "$prefix/station" && "$release/venv/bin/proctor" line "$release/detector.onnx" "$@" --check )
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
    lock
    name=$version-$(sha256sum <"$here/SHA256SUMS" | cut -c 1-12)
    release=$prefix/releases/$name
    runtime=$prefix/runtimes/$(sha256sum <"$here/requirements.txt" | cut -c 1-12)
    mkdir -p "$prefix/releases" "$prefix/runtimes"
    if [ ! -d "$prefix/station" ]; then
        mkdir "$prefix/station"
        if [ -n "$user" ] && [ "$(id -u)" = 0 ]; then
            chown "$user" "$prefix/station" || die "there is no user $user; useradd --system $user"
        fi
    fi
    echo "installing $name in $prefix"
    install_runtime
    install_release
    check_release || die "$name does not run here, see above; what was in force stays in force"
    : >"$release/complete"
    sync
    before=$(in_force current)
    if [ "$before" != "releases/$name" ]; then
        [ -z "$before" ] || point previous "$before"
        point current "releases/$name"
        sync
    fi
    echo "$name is in force"
    say_unit
}

rollback() {
    lock
    now=$(in_force current)
    before=$(in_force previous)
    [ "${before:-$now}" != "$now" ] || die "no other release was in force in $prefix"
    [ -e "$prefix/$before/complete" ] || die "$prefix/$before is gone; install it again from its bundle"
    point current "$before"
    point previous "$now"
    sync
    echo "${before#releases/} is in force again, in place of ${now#releases/}"
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
if [ -n "$unit" ] && [ "$prefix" != "$bundled_prefix" ]; then
    echo "note: the unit $unit is for $bundled_prefix, not for $prefix; for one, bundle with --prefix $prefix" >&2
    unit=
fi
"$action"
