// Mounts that daemons leave below their directories (network namespaces, overlays): unmounted before the files go.
import { readFileSync } from 'node:fs'
import { runCommand } from '../../proto/lib/command.ts'

/** Unmounts everything below the directories, deepest first. */
export async function unmountBelow(directories: readonly string[]): Promise<void> {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[1] ?? ''))
    .filter((point) => directories.some((directory) => point.startsWith(`${directory}/`)))
  for (const point of points.sort((a, b) => b.length - a.length)) {
    await runCommand(['umount', '-l', point])
  }
}

/** The kernel writes blanks and the like as \040. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\(\d{3})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  )
}
