#!/bin/bash
#SBATCH --job-name=headstart
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#
# The whole pipeline on the nodes of an allocation: sbatch deploy/slurm.sh, from the repository, on storage that all
# nodes see. In params.yaml: cluster: {executor: ray, address: auto}.
set -euo pipefail

port=${PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
export RAY_USAGE_STATS_ENABLED=0

start() { # node, and how it starts
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" \
        uv run --no-sync ray start "${@:2}" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
}

start "$head" --head --node-ip-address="$head" --port="$port" --include-dashboard=false
until uv run --no-sync ray status --address="$head:$port" > /dev/null 2>&1; do sleep 1; done
for node in "${nodes[@]:1}"; do
    start "$node" --address="$head:$port"
done

srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" uv run --no-sync dvc repro
