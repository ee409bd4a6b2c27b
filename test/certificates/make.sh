#!/bin/sh
# Makes the certificates of the tests anew: two authorities, and certificates that each signed. They guard
# nothing.
# They are checked in so that the tests need no openssl, and so is how they were made.
set -eu
cd "$(dirname "$0")"

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=godwit test authority $1" \
    -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

# issue AUTHORITY NAME SUBJECT-ALTERNATIVE-NAMES
issue() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=godwit test $2" -keyout "$2.key" -out "$2.csr" 2>/dev/null
  printf 'subjectAltName=%s\n' "$3" > "$2.ext"
  openssl x509 -req -in "$2.csr" -CA "$1.pem" -CAkey "$1.key" -days 36500 -extfile "$2.ext" -out "$2.pem" 2>/dev/null
  rm "$2.csr" "$2.ext"
}

authority ours
authority theirs
issue ours far DNS:far.test,DNS:localhost,IP:127.0.0.1
issue ours near DNS:near.test
issue theirs stranger DNS:far.test,DNS:localhost,IP:127.0.0.1
rm -f ours.key theirs.key ./*.srl
