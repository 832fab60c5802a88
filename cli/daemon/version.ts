// What this program is and understands.

export { featureLevel } from '../../proto/objects/feature-level.ts'
export { version } from '../../proto/version.ts'
