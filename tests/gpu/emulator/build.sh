#!/usr/bin/env bash
# Builds the emulated GPU's libraries in FOLDER. A program that is started with LD_LIBRARY_PATH=FOLDER finds it; its kernels are compiled there too.
#
#   tests/gpu/emulator/build.sh FOLDER
set -euo pipefail

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?FOLDER}"
folder=$(cd "$1" && pwd)
g++ -std=c++17 -O1 -w -fPIC -shared "$sources/driver.cpp" "$sources/products.cpp" -o "$folder/libcuda.so" -ldl \
    "-DTHREADS=\"$sources/threads.cpp\"" "-DFOLDER=\"$folder\""
# Names by which NVIDIA's libraries are looked for.
for name in libcuda.so.1 libnvrtc.so libnvrtc.so.13 libcublasLt.so libcublasLt.so.13; do
    ln -f "$folder/libcuda.so" "$folder/$name"
done
