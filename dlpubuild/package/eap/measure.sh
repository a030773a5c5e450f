#!/bin/sh
# Measures the packed model on this camera and logs the mean inference time.
#
# Every line goes to standard output and, through logger, to the application's system log. The one to look for:
#   result: mean_ms=5.60 device=axis-a8-dlpu-tflite rounds=100 ...
# Exit codes: 0 measured; 1 larod did not load or run the model; 2 the package or the camera lacks a part;
# 3 this camera has no such larod device; 4 the device got no power; 5 larod-client took too long; 143 stopped.
# Made by dlpubuild. It needs a POSIX shell and nothing of the network.

# @settings@

set -u
LC_ALL=C
export LC_ALL

child=
watcher=
work=

say() {
    printf '%s\n' "$2"
    if command -v logger >/dev/null 2>&1; then
        logger -t "${APP}[$$]" -p "user.$1" "$2" || :
    fi
}

tidy() {
    if [ -n "$work" ]; then
        rm -rf "$work"
    fi
}

ending() {
    say info "done, exit code $1"
    tidy
}

finish() {
    ending "$1"
    exit "$1"
}

stopped() {
    trap '' HUP INT TERM
    if [ -n "$watcher" ]; then
        kill "$watcher" 2>/dev/null
    fi
    if [ -n "$child" ] && kill "$child" 2>/dev/null; then
        sleep 1 >/dev/null 2>&1
        kill -KILL "$child" 2>/dev/null
    fi
    say notice "stopped before the measurement was done"
    tidy
    exit 143
}

# watch PID SECONDS: tells now and then that PID still runs, and ends it after that many seconds.
watch() {
    elapsed_s=0
    while [ "$elapsed_s" -lt "$2" ]; do
        sleep 1 >/dev/null 2>&1
        elapsed_s=$((elapsed_s + 1))
        if [ $((elapsed_s % NOTICE_S)) -eq 0 ]; then
            say info "waiting for larod since $elapsed_s s (a camera may compile a model when it first loads it)"
        fi
    done
    : >"$work/late"
    kill "$1"
    sleep "$KILL_AFTER_S" >/dev/null 2>&1
    kill -KILL "$1"
}

# guarded SECONDS COMMAND...: runs COMMAND with its output in $work/out. Returns its exit code; 124 if it was ended.
guarded() {
    limit_s=$1
    shift
    rm -f "$work/late"
    "$@" >"$work/out" 2>&1 </dev/null &
    child=$!
    watch "$child" "$limit_s" 2>/dev/null &
    watcher=$!
    wait "$child"
    code=$?
    child=
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    watcher=
    if [ -e "$work/late" ]; then
        return 124
    fi
    return "$code"
}

said() {
    grep -q -e "$1" "$work/out"
}

tell_output() {
    tail -n 20 "$work/out" | tr -cd '\t\n -~' | while IFS= read -r line; do
        say "$1" "larod-client: $line"
    done
}

# Before anything is run: a package for another SoC, or a camera without its DLPU, is told by name.
require_device() {
    guarded "$LIST_LIMIT_S" larod-client -a
    if [ "$?" -eq 124 ]; then
        say err "larod-client did not list the devices within $LIST_LIMIT_S s: the larod service does not answer"
        finish 5
    fi
    names=$(tr -c 'A-Za-z0-9_-' '\n' <"$work/out" | sort -u)
    # Every camera with larod has cpu-tflite: without it this is no list of devices, and the attempt will tell more.
    if printf '%s\n' "$names" | grep -q -x -e cpu-tflite &&
        ! printf '%s\n' "$names" | grep -q -x -e "$DEVICE"; then
        listed=$(printf '%s\n' "$names" | grep -e '-\(tflite\|native\|cvflow\|proc\)$' | tr '\n' ' ')
        say err "this camera has no larod device $DEVICE; it has: $listed"
        say err "the package was built for $SOC; build one for this camera's SoC"
        finish 3
    fi
}

explain() {
    if said 'too many graph partitions'; then
        say err "the model falls into more parts than the DLPU takes: too many of its operators cannot run there"
    elif said 'Asynchronous connection has been closed'; then
        say err "larod's process for $DEVICE ended, often because the camera has too little memory for the model"
    elif said 'Could not allocate tensors'; then
        say err "$DEVICE made no room for the model: it is too large, or an operator or its version is not known there"
    elif said 'model format type check' || said 'Not a valid model' || said 'ould not read model'; then
        say err "$DEVICE takes models of another format"
    elif said 'requires runtime version'; then
        say err "the camera's Edge TPU runtime is older than the compiler: compile for an older minimum runtime version"
    elif said 'ould not find chip' || said 'ould not find device' || said 'ould not get device'; then
        say err "larod does not know the device $DEVICE on this camera"
        finish 3
    elif said 'ould not connect' || said 'ould not create session'; then
        say err "the larod service cannot be reached: it may be starting, or the application may not use it"
    elif said 'ould not load model'; then
        say err "larod could not load the model on $DEVICE"
    else
        say err "larod-client gave no mean time (exit code $1)"
    fi
    say err "the service's own log says more: journalctl -u larod"
}

measure() {
    guarded "$LOAD_LIMIT_S" larod-client -R "$ROUNDS" -w "$WARM_UP" -p -c "$DEVICE" -g "$model_path" -i ''
}

here=$(cd "$(dirname "$0")" && pwd) || exit 2
model_path=$here/$MODEL
trap 'stopped' HUP INT TERM

say info "$APP $VERSION: measuring $MODEL on $DEVICE"
if ! command -v larod-client >/dev/null 2>&1; then
    say err "this camera has no larod-client"
    finish 2
fi
if [ ! -r "$model_path" ]; then
    say err "$model_path is not there or cannot be read"
    finish 2
fi
# larod-client writes its outputs to the current folder.
for folder in "${TMPDIR:-/tmp}" "$here/localdata"; do
    if work=$(mktemp -d "$folder/measure.XXXXXX" 2>/dev/null) && cd "$work"; then
        break
    fi
    work=
done
if [ -z "$work" ]; then
    say err "neither ${TMPDIR:-/tmp} nor $here/localdata can be written to"
    finish 2
fi

require_device

waited_s=0
while :; do
    measure
    code=$?
    mean_ms=$(sed -n 's/.*Mean execution time for job: *\([0-9][0-9.]*\) *ms.*/\1/p' "$work/out" | tail -n 1)
    if [ "$code" -eq 0 ] && [ -n "$mean_ms" ]; then
        break
    fi
    if [ "$code" -eq 124 ]; then
        tell_output err
        say err "larod-client was ended: it took longer than $LOAD_LIMIT_S s"
        finish 5
    fi
    # LAROD_ERROR_POWER_NOT_AVAILABLE is 50: the camera's power budget leaves nothing for the device right now.
    if said 'POWER_NOT_AVAILABLE' || said 'ower not available' || said '(50)' || said 'resource busy'; then
        if [ "$waited_s" -ge "$POWER_LIMIT_S" ]; then
            tell_output err
            say err "$DEVICE got no power, or was busy, for $waited_s s"
            finish 4
        fi
        say notice "$DEVICE has no power, or is busy; trying again in $POWER_RETRY_S s"
        sleep "$POWER_RETRY_S" &
        child=$!
        wait "$child"
        child=
        waited_s=$((waited_s + POWER_RETRY_S))
        continue
    fi
    tell_output err
    explain "$code"
    finish 1
done

if said 'Fallback unsupported op'; then
    say warning "part of the model runs on the CPU: $(grep -c -e 'Fallback unsupported op' "$work/out") operators"
fi
say notice "mean inference time: $mean_ms ms ($ROUNDS rounds on $DEVICE)"
say notice "result: mean_ms=$mean_ms device=$DEVICE rounds=$ROUNDS warm_up=$WARM_UP model=$MODEL sha256=$SHA256"
ending 0 || :
