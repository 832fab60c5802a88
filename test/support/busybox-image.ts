// Small images for tests, made of this host's busybox, with the command a test wants.
import { busyboxFiles } from '../../cli/lab/busybox-files.ts'
import { buildImageArchive, type ImageRecipe } from '../../cli/lab/image-archive.ts'
import type { TarEntry } from '../../proto/lib/tar.ts'

export interface BusyboxRecipe extends Omit<ImageRecipe, 'files' | 'names'> {
  /** Default `test/busybox:latest`. */
  readonly name?: string
  /** Beside busybox and its accounts. */
  readonly files?: readonly TarEntry[]
}

/** A docker-archive of busybox; its default command is a shell. */
export async function busyboxImage(recipe: BusyboxRecipe = {}): Promise<Uint8Array> {
  const { name = 'test/busybox:latest', files = [], ...rest } = recipe
  return buildImageArchive({
    command: ['/bin/sh'],
    ...rest,
    names: [name],
    files: [...(await busyboxFiles()), ...files],
  })
}
