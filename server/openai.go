package server

func (s *Server) openAIRoutes() []route { return nil }
