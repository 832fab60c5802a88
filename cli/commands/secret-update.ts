// tsswarm secret update
import { updateCommand } from '../payload-commands.ts'

export const command = updateCommand('secret')
