#!/bin/sh
# Unpacks the QEMU of another Debian suite into a private folder, so that streams of several versions can be
# recorded side by side. Not responsible for running it (record.mjs does). The system is not changed: apt gets a
# state folder of its own, nothing is installed, and the archive is the one that the machine's sources name.
#   test/golden/qemu-root.sh SUITE FOLDER        for instance: bookworm .work/qemu/bookworm
set -eu
suite=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
if [ -x "$folder/qemu-system-x86_64" ]; then exit 0; fi

apt=$folder/apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/sources.d" "$folder/root"
: > "$apt/status" # an empty dpkg status: every dependency is fetched, libc and its loader included

# The first Debian stanza's archive and keyring, with its suite replaced; else the first one-line source.
uri=$(sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
[ -n "$uri" ] || uri=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
base=${suite%-backports}
for name in "$base" "$suite"; do
  echo "deb [signed-by=$keyring] $uri $name main"
done | sort -u > "$apt/sources.d/godwit.list"

options="-o Dir::State=$apt -o Dir::State::lists=$apt/lists -o Dir::State::status=$apt/status -o Dir::Cache=$apt
  -o Dir::Cache::archives=$apt/archives -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$apt/sources.d
  -o Dir::Etc::preferencesparts=/dev/null -o APT::Install-Recommends=false -o Debug::NoLocking=true
  -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false"
# shellcheck disable=SC2086
apt-get $options -q update
# shellcheck disable=SC2086
apt-get $options -q -y --download-only -t "$suite" install qemu-system-x86
for package in "$apt"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done

# The unpacked loader with the unpacked libraries: nothing of the system is mixed in.
cat > "$folder/qemu-system-x86_64" <<RUN
#!/bin/sh
root=$folder/root
loader=\$(ls "\$root"/lib64/ld-linux-x86-64.so.2 "\$root"/usr/lib64/ld-linux-x86-64.so.2 "\$root"/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "\$root"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 2>/dev/null | head -n 1)
libraries=\$root/lib/x86_64-linux-gnu:\$root/usr/lib/x86_64-linux-gnu:\$root/usr/lib/x86_64-linux-gnu/pulseaudio
QEMU_MODULE_DIR=\$root/usr/lib/x86_64-linux-gnu/qemu exec "\$loader" --library-path "\$libraries" "\$root/usr/bin/qemu-system-x86_64" -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" -L "\$root/usr/lib/ipxe/qemu" "\$@"
RUN
chmod +x "$folder/qemu-system-x86_64"
"$folder/qemu-system-x86_64" --version
