package server

func (s *Server) responsesRoutes() []route { return nil }
