#!/bin/sh
# Installs kosoku, the runner of the Autobahn WebSocket cases, into the cache
# folder, unless it is there already. Prints the path of the program.
set -eu
venv="${XDG_CACHE_HOME:-$HOME/.cache}/pixelwall/venv"
version=0.1.0
if ! "$venv/bin/pip" show kosoku 2>/dev/null | grep -qx "Version: $version"; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check "kosoku==$version"
fi
echo "$venv/bin/kosoku"
