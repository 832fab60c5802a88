// Whether this host can give containers users of their own, for tests that need it.
import { statfsSync } from 'node:fs'
import { release } from 'node:os'

/** ext4, XFS, Btrfs, which shift owners for sure. Source: linux/magic.h. */
const shifting = [0xef53, 0x58465342, 0x9123683e]

/** False: it can. */
export function whyNoUserns(folder = '/var/tmp'): string | false {
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10))
  if (major * 100 + minor < 519) return 'the kernel is older than 5.19'
  return !shifting.includes(statfsSync(folder).type) && `${folder} is on no ext4, XFS or Btrfs`
}
