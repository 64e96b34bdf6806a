#!/bin/sh
# The whole path on this machine: data, sweep, report, final training. `make demo` runs it.
# Real CIFAR-100 where it is, or can be had; otherwise synthetic images, said loudly.
set -eu

SPEC=sweeps/configs/demo.yaml
RUNS=${CH6DIST_RUNS:-runs}
DATA=${CH6DIST_DATA:-data}
say() { printf '\n== %s\n' "$*"; }

say "1 of 5: the data set"
set --
if ch6dist data cifar100 --root "$DATA"; then
    export CH6DIST_DATA="$DATA"
else
    echo '**********************************************************************'
    echo '* SYNTHETIC: CIFAR-100 is not here and could not be downloaded.      *'
    echo '* Everything below is made from made-up images and says nothing      *'
    echo '* about CIFAR-100. Set CH6DIST_DATA to a folder that has the data.   *'
    echo '**********************************************************************'
    set -- data.name=synthetic_cifar100
fi

NAME=demo
number=2
while [ -e "$RUNS/$NAME" ] || [ -e "$RUNS/$NAME-final" ]; do
    NAME=demo-$number
    number=$((number + 1))
done

say "2 of 5: what it will cost"
sweeps plan "$SPEC" "$@"

say "3 of 5: the sweep"
sweeps run "$SPEC" "$@" --name "$NAME" --runs "$RUNS"
sweeps top "$NAME" --runs "$RUNS" -n 5

say "4 of 5: the report"
analysis report "$RUNS/$NAME"

say "5 of 5: the best configuration, trained and tested once"
sweeps final "$NAME" --runs "$RUNS" --all-data
analysis report "$RUNS/$NAME-final"

say "done"
echo "sweep           $RUNS/$NAME"
echo "report          $RUNS/$NAME/report/index.html"
echo "final training  $RUNS/$NAME-final"
echo "final report    $RUNS/$NAME-final/report/index.html"
