// Paths inside a container's file system, resolved from outside: links are followed within its root and never out of
// it. For file systems nobody changes meanwhile.
import { lstat, readlink } from 'node:fs/promises'

const linksMax = 40

/** The path on this host of `path` below `root`; undefined when it does not exist or links go in circles. */
export async function resolveInRoot(root: string, path: string): Promise<string | undefined> {
  const pending = split(path).reverse()
  const walked: string[] = []
  let links = 0
  while (pending.length > 0) {
    const part = pending.pop() ?? ''
    if (part === '..') {
      walked.pop()
      continue
    }
    const here = [root, ...walked, part].join('/')
    const kind = await kindOf(here)
    if (kind === 'absent') return undefined
    if (kind === 'other') {
      walked.push(part)
      continue
    }
    links += 1
    if (links > linksMax) return undefined
    const target = await readlink(here)
    if (target.startsWith('/')) walked.length = 0
    pending.push(...split(target).reverse())
  }
  return [root, ...walked].join('/')
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

async function kindOf(path: string): Promise<'absent' | 'link' | 'other'> {
  try {
    return (await lstat(path)).isSymbolicLink() ? 'link' : 'other'
  } catch {
    return 'absent'
  }
}
