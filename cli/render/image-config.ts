// What an image's configuration says beside what it runs, as registries keep it.
// Source: OCI image specification 1.0, config.md; Docker's image specification v1.2.
import type { Json } from '../../proto/docker/json.ts'
import { SwarmError } from '../../proto/errors.ts'

export interface ImageConfigJson {
  readonly created?: string
  readonly author?: string
  readonly comment?: string
  readonly docker_version?: string
  readonly architecture?: string
  readonly variant?: string
  readonly os?: string
  readonly config?: Json
  readonly rootfs?: { readonly diff_ids?: readonly string[] }
  readonly history?: readonly ImageStep[]
}

/** A step of the build, the lowest first. */
export interface ImageStep {
  readonly created?: string
  readonly created_by?: string
  readonly comment?: string
  /** It has no layer. */
  readonly empty_layer?: boolean
}

/** Errors: DATA_LOSS. */
export function parseImageJson(text: string, id: string): ImageConfigJson {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SwarmError('DATA_LOSS', `configuration of image ${id} is damaged: pull it again`, {
      cause,
    })
  }
}
