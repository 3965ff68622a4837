/** Networks: immutable definitions. */
export interface Networks {
  remove(id: string): Promise<void>;
}
