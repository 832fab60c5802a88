// What this program is and understands.

export { version } from '../../proto/version.ts'

/** Highest feature level: fields, tables and change kinds this program knows. Raised with each new one. */
export const featureLevel = 1
