#!/usr/bin/env bash
# Write the article of chapter 6 from the sweeps that are kept here, in about a minute:
#   source .venv/bin/activate; bash docs/results/chapter6/article.sh [FOLDER]
# Nothing is trained: the laboratory and the previews of schedules are computed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

preview() { ch6dist preview "${@:2}" --json > "$made/$1.json"; }

ch6dist lab -o "$made/lab"
preview step_lr epochs=50 data.batch_size=4500 optimizer.lr=0.1 \
  --schedule '{name: StepLR, step_size: 15, gamma: 0.1}' --schedule '{name: StepLR, step_size: 5, gamma: 0.5}'
preview cyclic_lr epochs=4 optimizer.momentum=0.9 optimizer.lr=0.01 \
  --schedule '{name: CyclicLR, base_lr: 0.001, max_lr: 0.01, step_size_up: 500, mode: triangular2}'
preview cyclic_modes epochs=2 data.train_size=640 data.batch_size=64 optimizer.momentum=0.9 optimizer.lr=0.001 \
  --schedule '{name: CyclicLR, base_lr: 1e-4, max_lr: 1e-3, step_size_up: 2, mode: triangular}' \
  --schedule '{name: CyclicLR, base_lr: 1e-4, max_lr: 1e-3, step_size_up: 2, mode: triangular2}' \
  --schedule '{name: CyclicLR, base_lr: 1e-4, max_lr: 1e-3, step_size_up: 2, mode: exp_range, gamma: 0.7071}'
preview plateau epochs=13 data.batch_size=4500 optimizer.lr=0.01 \
  --schedule '{name: ReduceLROnPlateau, patience: 4, factor: 0.1}'
preview one_cycle epochs=10 data.train_size=12800 optimizer.momentum=0.9 optimizer.lr=0.01 \
  --schedule '{name: OneCycleLR, max_lr: 0.01}' --schedule '{name: OneCycleLR, max_lr: 0.01, three_phase: true}'
analysis article "$here"/runs/* "$here/network" "$made/lab" "$made"/*.json -o "${1:-$here/article}"
