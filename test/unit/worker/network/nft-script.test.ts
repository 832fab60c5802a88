// nft gets its script through a pipe, never through the socket Node gives a child.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../../../proto/lib/command.ts'
import { nftFromInput } from '../../../../worker/network/nft-script.ts'

/** Refuses standard input as nft 1.0.9 does; else says what it was given. */
const strictNft = `#!/bin/sh
[ -p /dev/stdin ] || [ -f /dev/stdin ] || { echo 'Not a regular file: "/dev/stdin"' >&2; exit 1; }
echo "$@"
cat
exit "$NFT_EXIT"
`

function run(t: Test, argv: readonly string[], exitCode: number) {
  const directory = t.testdir()
  const file = join(directory, 'nft')
  writeFileSync(file, strictNft)
  chmodSync(file, 0o700)
  const env = { PATH: `${directory}:${process.env.PATH}`, NFT_EXIT: `${exitCode}` }
  return runCommand(argv, { input: 'table inet tsswarm {\n}\n', env })
}

t.test('the script comes through a pipe', async (t) => {
  const direct = await run(t, ['nft', '-f', '-'], 0)
  t.match(direct, { code: 1, stderr: /Not a regular file/ }, 'a socket is what Node gives')
  const piped = await run(t, nftFromInput, 0)
  t.same(piped, { code: 0, stdout: '-f -\ntable inet tsswarm {\n}\n', stderr: '' })
})

t.test('the exit code is that of nft', async (t) => {
  t.match(await run(t, nftFromInput, 3), { code: 3 })
})
