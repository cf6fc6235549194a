#!/bin/sh
# Installs Trit {{.Number}}: downloads the archive for this machine, compares its checksum, and puts the program where it
# is found.
#
#   TRIT_PREFIX   where to: PREFIX/bin/trit and PREFIX/share; by default /usr/local if it can be written, else ~/.local
#   TRIT_URL      where the files of the release are, if not at {{.URL}}
set -eu

version={{.Number}}
url=${TRIT_URL:-{{.URL}}}
key='{{.PublicKey}}'

fail() {
	echo "install: $*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

fetch() {
	if have curl; then
		curl -fsSL -o "$2" "$1"
	elif have wget; then
		wget -qO "$2" "$1"
	else
		fail "neither curl nor wget is there; install one of them"
	fi || fail "$1 cannot be downloaded"
}

sum() {
	if have sha256sum; then
		sha256sum "$1" | cut -d' ' -f1
	elif have shasum; then
		shasum -a 256 "$1" | cut -d' ' -f1
	elif have openssl; then
		openssl dgst -sha256 -r "$1" | cut -d' ' -f1
	else
		fail "none of sha256sum, shasum and openssl is there to verify the download with"
	fi
}

case $(uname -s) in
Linux) if [ "$(uname -o 2>/dev/null)" = Android ]; then os=android; else os=linux; fi ;;
Darwin) os=darwin ;;
FreeBSD) os=freebsd ;;
*) fail "there is no program for $(uname -s) here; on Windows take the .zip at $url" ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
armv7* | armv8l) arch=armv7 ;;
i386 | i686) arch=386 ;;
riscv64) arch=riscv64 ;;
*) fail "there is no program for processors of the kind $(uname -m)" ;;
esac

name=trit-$version-$os-$arch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fetch "$url/SHA256SUMS" SHA256SUMS
if [ -n "$key" ] && have minisign; then
	fetch "$url/SHA256SUMS.minisig" SHA256SUMS.minisig
	minisign -Vqm SHA256SUMS -P "$key" || fail "the signature of the checksums is wrong: nothing was installed"
fi
want=$(awk -v name="$name.tar.gz" '$2 == name { print $1 }' SHA256SUMS)
[ -n "$want" ] || fail "this release has nothing for $os on $arch"
fetch "$url/$name.tar.gz" archive
got=$(sum archive)
[ "$got" = "$want" ] || fail "$name.tar.gz has the checksum $got, want $want: nothing was installed"
tar -xzf archive

if [ -n "${TRIT_PREFIX:-}" ]; then
	prefix=$TRIT_PREFIX
elif [ -n "${PREFIX:-}" ] && [ "$os" = android ]; then
	prefix=$PREFIX # of Termux
elif [ -w /usr/local/bin ]; then
	prefix=/usr/local
else
	prefix=$HOME/.local
fi
mkdir -p "$prefix/bin" "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" \
	"$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
# A program that runs keeps its file.
cp "$name/trit" "$prefix/bin/trit.new"
chmod 755 "$prefix/bin/trit.new"
mv "$prefix/bin/trit.new" "$prefix/bin/trit"
cp "$name"/man/man1/*.1 "$prefix/share/man/man1/"
cp "$name/completions/trit.bash" "$prefix/share/bash-completion/completions/trit"
cp "$name/completions/_trit" "$prefix/share/zsh/site-functions/_trit"
cp "$name/completions/trit.fish" "$prefix/share/fish/vendor_completions.d/trit.fish"

"$prefix/bin/trit" version
case :$PATH: in
*":$prefix/bin:"*) next=trit ;;
*)
	next=$prefix/bin/trit
	echo "$prefix/bin is not in PATH; add it in the profile of your shell."
	;;
esac
echo "Next: $next demo"
